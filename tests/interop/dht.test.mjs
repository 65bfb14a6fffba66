// One DHT of all implementations: each finds what each has stored, and each peer; and so do
// newcomers, who have nothing of it themselves.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { good, joinDht, missing, withPeer } from '../lib/peers.mjs'

/** Ours is in the middle: the others know of each other by it alone at first. */
const all = ['polypeer-native', 'js-node', 'rust', 'go', 'polypeer-node']
/** rust-libp2p keeps records of IPNS, and knows nothing of them. */
const publishers = (name) => name !== 'rust'

const base64 = (bytes) => Buffer.from(bytes).toString('base64')
/** The multihash of a text by SHA-256. */
const multihash = (text) =>
  Buffer.concat([Buffer.from([0x12, 32]), createHash('sha256').update(text).digest()])
const keyOf = (name) => base64(`/test/${name}`)
const writtenBy = (name) => base64(`1:by ${name}`)
const pathOf = (name) => `/ipfs/bafkqaaa/${name}`

/** Asks until `holds` of the answer; the test's own time limit is the bound. */
async function found(peer, request, holds) {
  for (;;) {
    const answer = await peer.ask(request)
    if (answer.ok && holds(answer)) return answer
  }
}

/** Until a peer has heard of all of these. */
async function meets(peer, others) {
  for (const other of others) {
    if (other === peer) continue
    await found(peer, { op: 'closest', key: keyOf('x') }, ({ peers }) => peers.includes(other.peerId))
  }
}

describe('one DHT of all implementations', { timeout: 300_000 }, () => {
  const names = all.filter((name) => missing(name) === undefined)
  const peers = []
  const peerOf = (name) => peers.find((peer) => peer.name === name)

  test('all that are built take part', (t) => {
    for (const name of all) if (!names.includes(name)) t.diagnostic(missing(name))
    assert.ok(names.length >= 4)
  })

  before(async () => {
    for (const name of names) peers.push(await joinDht(name))
    const [middle, ...others] = peers
    for (const peer of others) await good(peer, { op: 'connect', address: withPeer(middle) })
    for (const peer of peers) await meets(peer, peers)
  })

  after(async () => {
    for (const peer of peers) await peer.close()
  })

  async function readsAll(reader, writer) {
    const { value } = await good(reader, { op: 'get', key: keyOf(writer.name) })
    assert.equal(value, writtenBy(writer.name), `${reader.name} reads`)
    if (reader !== writer) {
      const request = { op: 'providers', key: base64(multihash(writer.name)) }
      await found(reader, request, ({ peers }) => peers.includes(writer.peerId))
    }
    if (publishers(reader.name) && publishers(writer.name)) {
      const { value } = await good(reader, { op: 'resolve', peer: writer.peerId })
      assert.equal(value, pathOf(writer.name), `${reader.name} resolves`)
    }
  }

  for (const name of names) {
    test(`what ${name} stores, provides and publishes all find`, async () => {
      const writer = peerOf(name)
      await good(writer, { op: 'put', key: keyOf(name), value: writtenBy(name) })
      await good(writer, { op: 'provide', key: base64(multihash(name)) })
      if (publishers(name)) await good(writer, { op: 'publish', value: pathOf(name) })
      for (const reader of peers) await readsAll(reader, writer)
    })

    test(`${name} finds all peers`, async () => {
      const at = peerOf(name)
      for (const peer of peers) {
        if (peer === at) continue
        const { addresses } = await good(at, { op: 'findPeer', peer: peer.peerId })
        const port = /tcp\/\d+/.exec(peer.address)[0]
        assert.ok(
          addresses.some((address) => address.includes(port)),
          `${peer.name} at ${addresses}`,
        )
      }
    })
  }

  test('the better of two values wins, whoever put it', async () => {
    const key = keyOf('both')
    await good(peers[0], { op: 'put', key, value: base64('1:first') })
    await good(peers.at(-1), { op: 'put', key, value: base64('2:second') })
    for (const peer of peers) {
      const { value } = await good(peer, { op: 'get', key })
      assert.equal(value, base64('2:second'), `${peer.name} reads`)
    }
  })

  test('what is not good is kept nowhere of ours', async () => {
    const key = keyOf('bad')
    // rust-libp2p judges nothing: it sends it, and keeps it itself.
    await peerOf('rust').ask({ op: 'put', key, value: base64('no number') })
    for (const peer of peers.filter(({ name }) => name.startsWith('polypeer'))) {
      const answer = await peer.ask({ op: 'get', key })
      assert.equal(answer.ok, false, `${peer.name} reads ${answer.value}`)
    }
  })

  // By whom a newcomer joins: one of another implementation.
  for (const [at, name] of names.entries()) {
    const by = names[(at + 1) % names.length]
    test(`a newcomer of ${name} finds all by ${by}`, async () => {
      const newcomer = await joinDht(name)
      try {
        await good(newcomer, { op: 'connect', address: withPeer(peerOf(by)) })
        await meets(newcomer, peers)
        for (const writer of peers) await readsAll(newcomer, writer)
      } finally {
        await newcomer.close()
      }
    })
  }
})
