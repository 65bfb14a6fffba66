// The command `dht` of ../README.md for a peer that runs in Node.
import { answer, bytes, text } from './asked.mjs'

/** The namespace of the tests; values are `sequence:anything`, the highest is the best. */
export const NAMESPACE = 'test'

const sequence = (value) => {
  const [, digits] = /^(\d+):/.exec(new TextDecoder().decode(value)) ?? []
  if (digits === undefined) throw new Error('the value has no number')
  return Number(digits)
}

export const validate = (_key, value) => void sequence(value)
export const isBetter = (_key, value, other) => sequence(value) > sequence(other)

/** Does with `peer`, an adapter, what the input asks for. */
export const carryOut = (peer) => answer((request) => answered(peer, request))

async function answered(peer, { op, key, value, peer: name, address }) {
  switch (op) {
    case 'connect':
      await peer.connect(address)
      return {}
    case 'put':
      await peer.put(bytes(key), bytes(value))
      return {}
    case 'get':
      return { value: text(await peer.get(bytes(key))) }
    case 'provide':
      await peer.provide(bytes(key))
      return {}
    case 'providers':
      return { peers: await peer.providers(bytes(key)) }
    case 'findPeer':
      return { addresses: await peer.findPeer(name) }
    case 'publish':
      await peer.publish(value)
      return {}
    case 'resolve':
      return { value: await peer.resolve(name) }
    case 'closest':
      return { peers: await peer.closest(bytes(key)) }
  }
  throw new Error(`no such request: ${op}`)
}
