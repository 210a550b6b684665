//# sourceMappingURL=server.js.map
