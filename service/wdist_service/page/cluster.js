// Orders sample sets so that similar ones are adjacent: average linkage (Sokal and Michener, 1958), with branches flipped
// to bring the closest ends together.

/** Indices 0 ... n-1 in leaf order. Unknown distances (null) count as the largest one. */
export function clusterOrder(distances) {
  const n = distances.length;
  const known = distances.flat().filter(Number.isFinite);
  const far = Math.max(0, ...known);
  const between = (i, j) => (Number.isFinite(distances[i][j]) ? Math.abs(distances[i][j]) : far);
  let groups = Array.from({ length: n }, (_, i) => [i]);
  while (groups.length > 1) {
    let best = null;
    for (let a = 0; a < groups.length; a += 1) {
      for (let b = a + 1; b < groups.length; b += 1) {
        const distance = average(groups[a], groups[b], between);
        if (best === null || distance < best.distance) best = { a, b, distance };
      }
    }
    const merged = join(groups[best.a], groups[best.b], between);
    groups = groups.filter((_, i) => i !== best.a && i !== best.b).concat([merged]);
  }
  return groups[0] ?? [];
}

function average(one, other, between) {
  let sum = 0;
  for (const i of one) for (const j of other) sum += between(i, j);
  return sum / (one.length * other.length);
}

function join(one, other, between) {
  const turned = (group) => [...group].reverse();
  const ways = [[one, other], [turned(one), other], [one, turned(other)], [turned(one), turned(other)]];
  const seam = ([left, right]) => between(left.at(-1), right[0]);
  const [left, right] = ways.reduce((best, way) => (seam(way) < seam(best) ? way : best));
  return [...left, ...right];
}
