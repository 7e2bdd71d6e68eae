// The .npy format (NumPy enhancement proposal 1): reads headers and values, and writes small files.

const MAGIC = "\x93NUMPY";
const READERS = {
  f2: ["getFloat16", 2], f4: ["getFloat32", 4], f8: ["getFloat64", 8],
  u1: ["getUint8", 1], u2: ["getUint16", 2], u4: ["getUint32", 4], u8: ["getBigUint64", 8],
  i1: ["getInt8", 1], i2: ["getInt16", 2], i4: ["getInt32", 4], i8: ["getBigInt64", 8], b1: ["getUint8", 1],
};
export const HEADER_BYTES = 10_240;

/** Parses a header: {shape, dtype, littleEndian, itemBytes, fortranOrder, offset}; null if it is not .npy. */
export function parseHeader(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 12 || latin(buffer, 0, 6) !== MAGIC) return null;
  const isLong = view.getUint8(6) > 1;
  const start = isLong ? 12 : 10;
  const length = isLong ? view.getUint32(8, true) : view.getUint16(8, true);
  if (start + length > buffer.byteLength) return null;
  const text = latin(buffer, start, start + length);
  const dtype = /'descr':\s*'([<>|=]?)([a-zA-Z]\d+)'/.exec(text);
  const shape = /'shape':\s*\(([\d,\s]*)\)/.exec(text);
  if (!dtype || !shape) return null;
  return {
    shape: shape[1].split(",").map((part) => part.trim()).filter(Boolean).map(Number),
    dtype: dtype[2], littleEndian: dtype[1] !== ">", itemBytes: READERS[dtype[2]]?.[1] ?? null,
    fortranOrder: /'fortran_order':\s*True/.test(text), offset: start + length,
  };
}

const latin = (buffer, from, to) => String.fromCharCode(...new Uint8Array(buffer, from, to - from));

/** The first `count` numbers of a buffer, in the header's type. */
export function decode(buffer, header, count) {
  const [name, size] = READERS[header.dtype];
  const view = new DataView(buffer);
  const read = name === "getFloat16" ? (at) => half(view.getUint16(at, header.littleEndian)) : (at) => Number(view[name](at, header.littleEndian));
  return Float64Array.from({ length: count }, (_, i) => read(i * size));
}

function half(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
}

/** A float32 table as an .npy Blob. */
export function write(values, columns) {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${values.length / columns}, ${columns}), }`;
  const padded = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + "\n";
  const header = new Uint8Array(10 + padded.length);
  header.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, padded.length & 255, padded.length >> 8]);
  header.set(new TextEncoder().encode(padded), 10);
  return new Blob([header, Float32Array.from(values)]);
}
