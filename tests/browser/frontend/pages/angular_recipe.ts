import "@angular/compiler";
import { HttpClient } from "@angular/common/http";
import { createEnvironmentInjector, runInInjectionContext } from "@angular/core";
import { createApplication } from "@angular/platform-browser";
import { Router, provideRouter } from "@angular/router";
import { firstValueFrom } from "rxjs";
import { requireLogin } from "../src/app/require-login";
import { SessionService } from "../src/app/session.service";
import { expose } from "./_world";

const { injector } = await createApplication({ providers: [provideRouter([])] });
const http = injector.get(HttpClient);
const service = injector.get(SessionService);

expose(service.session, {
  shown: () => ({ status: service.status(), name: service.user()?.username ?? null }),
  get: (path: string) => firstValueFrom(http.get(path, { observe: "response" })).then(({ status }) => status, (error) => error.status),
  guard: async () => String(await runInInjectionContext(injector, () => requireLogin(null!, null!))),
});
