// Every listener against every dialer that speaks a transport, where one side is ours.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { ask, failures, listen, missing, peers } from '../lib/peers.mjs'

const isOurs = (name) => name.startsWith('polypeer')
const all = Object.keys(peers)
const transports = {
  tcp: all,
  ws: all,
  'webrtc-direct': ['go', 'js-node', 'polypeer-native', 'polypeer-node'],
}

for (const [transport, names] of Object.entries(transports)) {
  for (const listener of names) {
    describe(`${listener} listens on ${transport}`, { skip: missing(listener) }, () => {
      let listening
      const start = () => {
        listening ??= listen(listener, transport)
        return listening
      }
      after(async () => (await listening)?.close())
      for (const dialer of names.filter((name) => isOurs(name) || isOurs(listener))) {
        test(`${dialer} dials`, { skip: missing(dialer), timeout: 180_000 }, async () => {
          const { address } = await start()
          const report = await ask(dialer, 'dial', address, { agent: peers[listener].agent })
          assert.deepEqual(failures(report), [])
        })
      }
    })
  }
}
