// placeholder
export const witnessView = () => null;
