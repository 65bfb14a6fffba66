// Relay, listener behind it and dialer, where one of the three is ours.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { ask, failures, listen, missing, peers } from '../lib/peers.mjs'

const names = ['go', 'rust', 'js-node', 'polypeer-native', 'polypeer-node']
/** Peers and relays that do not get on with each other, whoever else takes part. */
const estranged = [
  // go-libp2p leaves addresses of loopback out of a reservation, rust-libp2p wants one.
  'rust listens through go',
  // js-libp2p's Yamux sends longer frames than rust-libp2p's takes.
  'js-node listens through rust',
  'js-node dials through rust',
]
const isOurs = (name) => name.startsWith('polypeer')

for (const relay of names) {
  for (const listener of names) {
    if (estranged.includes(`${listener} listens through ${relay}`)) continue
    describe(`${listener} listens through ${relay}`, { skip: missing(relay) ?? missing(listener) }, () => {
      const started = []
      let listening
      const start = async () => {
        started.push(await listen(relay, 'tcp', { command: 'relay' }))
        started.push(await listen(listener, 'tcp', { through: started[0].address }))
        return started[1]
      }
      after(async () => {
        for (const one of started.reverse()) await one.close()
      })
      // What two others say to each other through our relay is between them.
      const takesPart = (name) =>
        !estranged.includes(`${name} dials through ${relay}`) &&
        (isOurs(name) || isOurs(listener) || (isOurs(relay) && name === listener))
      for (const dialer of names.filter(takesPart)) {
        test(`${dialer} dials`, { skip: missing(dialer), timeout: 180_000 }, async () => {
          listening ??= start()
          const { address } = await listening
          assert.match(address, /p2p-circuit/)
          const report = await ask(dialer, 'dial', address, { agent: peers[listener].agent })
          assert.deepEqual(failures(report), [])
        })
      }
    })
  }
}
