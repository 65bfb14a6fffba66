// The command `mdns` of ../README.md for a peer that runs in Node.
import { answer } from './asked.mjs'

/** `peer` can `find(peerId)`, which ends with its addresses once it was heard of, and `dial(peerId)`. */
export const carryOut = (peer) =>
  answer(async ({ op, peer: name }) => {
    switch (op) {
      case 'find':
        return { addresses: await peer.find(name) }
      case 'dial':
        await peer.dial(name)
        return {}
    }
    throw new Error(`no such request: ${op}`)
  })
