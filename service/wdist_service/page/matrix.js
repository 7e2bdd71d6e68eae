export async function showMatrix() {}
export async function showBatch() {}
