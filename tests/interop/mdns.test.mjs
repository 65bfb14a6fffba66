// Neighbours on one machine: all implementations find and dial each other by mDNS.
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { test } from 'node:test'
import { joinMdns, missing } from '../lib/peers.mjs'

/** A port of this machine that nobody hears on: not that at which its other programs do. */
async function freePort() {
  const socket = createSocket('udp4')
  await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve))
  const { port } = socket.address()
  await new Promise((resolve) => socket.close(resolve))
  return port
}

test('neighbours of all implementations find and dial each other', { timeout: 120_000 }, async (t) => {
  const names = ['polypeer-node', 'polypeer-native', 'js-node']
  for (const name of names) assert.equal(missing(name), undefined)
  const port = await freePort()
  const peers = []
  for (const name of names) {
    const peer = await joinMdns(name, port)
    t.after(() => peer.close())
    peers.push(peer)
  }
  for (const peer of peers) {
    for (const other of peers) {
      if (other === peer) continue
      const { addresses } = await peer.ask({ op: 'find', peer: other.peerId })
      const tcp = /\/ip4\/127\.0\.0\.1\/tcp\/\d+/.exec(other.address)[0]
      assert.ok(addresses.includes(tcp), `${other.name} at ${addresses}, says ${peer.name}`)
      const { ok, error } = await peer.ask({ op: 'dial', peer: other.peerId })
      assert.ok(ok, `${peer.name} dials ${other.name}: ${error}`)
    }
  }
})
