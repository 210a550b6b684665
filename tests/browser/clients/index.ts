// The pages that do the same by a component of React and of Vue, in one bundle.
export { mount as React } from "./react";
export { mount as Vue } from "./vue";
