import { initTRPC } from "@trpc/server";

const { router, procedure } = initTRPC.create();

export const appRouter = router({ me: procedure.query((): string => "alice") });
export type AppRouter = typeof appRouter;
