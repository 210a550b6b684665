import { useQuery } from "@tanstack/react-query";
import { useSession } from "daypass/react";

interface Device {
  id: string;
  deviceName: string | null;
  userAgent: string | null;
  current: boolean;
}

export function DevicesPage() {
  const { session } = useSession();
  const { data } = useQuery({
    queryKey: ["devices"],
    queryFn: async (): Promise<Device[]> => (await (await session.fetch("/auth/sessions")).json()).sessions,
  });
  return (
    <>
      <ul>
        {data?.map(({ id, deviceName, userAgent, current }) => (
          <li key={id}>
            {deviceName ?? userAgent} {current && <b>this device</b>}
          </li>
        ))}
      </ul>
      <button onClick={() => session.logout({ everywhere: true })}>Log out everywhere</button>
    </>
  );
}
