// Starts Swagger UI on this server's contract. A key that is entered stays in the page's memory.

const dark = matchMedia("(prefers-color-scheme: dark)");
const setColours = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", setColours);
setColours();

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#browser",
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // it would send the contract to swagger.io
});
