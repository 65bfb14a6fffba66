// Every listener against every dialer, over TCP and WebSocket, where one side is ours.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { ask, failures, listen, missing, peers } from '../lib/peers.mjs'

const names = Object.keys(peers)
const isOurs = (name) => name.startsWith('polypeer')

for (const transport of ['tcp', 'ws']) {
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
