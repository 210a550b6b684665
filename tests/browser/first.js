window.violations = [];
addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));

// A test can have a browser that lacks something, …
const without = new URLSearchParams(location.search).get("without")?.split(",") ?? [];
if (without.includes("locks")) Object.defineProperty(Navigator.prototype, "locks", { value: undefined });
if (without.includes("BroadcastChannel")) delete window.BroadcastChannel;

// … or put the machine to sleep: then the wall clock goes on and the page's own clock does not.
window.asleep = Number(sessionStorage.getItem("asleep") ?? 0);
const wall = Date.now.bind(Date);
Date.now = () => wall() + window.asleep;
function sleepFor(milliseconds) {
  window.asleep += milliseconds;
  sessionStorage.setItem("asleep", window.asleep);
}
