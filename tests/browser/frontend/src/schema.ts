// As openapi-typescript writes it.
export interface paths {
  "/api/items": {
    get: { responses: { 200: { content: { "application/json": { user: string } } }; 401: { content: { "application/json": { error: string } } } } };
  };
}
