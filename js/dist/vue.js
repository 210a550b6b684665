//# sourceMappingURL=vue.js.map
