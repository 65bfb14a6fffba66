// Bytes for tests in pages.
export const ECHO = '/echo/1.0.0'

export async function readAll(stream) {
  const parts = []
  for await (const bytes of stream) parts.push(bytes)
  return new Uint8Array(await new Blob(parts).arrayBuffer())
}

export async function digest(bytes) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)).join()
}

export function random(length) {
  const bytes = new Uint8Array(length)
  for (let at = 0; at < length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536))
  return bytes
}
