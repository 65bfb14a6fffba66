// Peers that do what their input asks for.
import { createInterface } from 'node:readline'

/** Carries out requests, one JSON object a line, until the input ends. */
export async function answer(carryOut) {
  for await (const line of createInterface({ input: process.stdin })) {
    let answer
    try {
      answer = { ok: true, ...(await carryOut(JSON.parse(line))) }
    } catch (error) {
      answer = { ok: false, error: String(error) }
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
}

export const bytes = (text) => new Uint8Array(Buffer.from(text, 'base64'))
export const text = (value) => Buffer.from(value).toString('base64')
