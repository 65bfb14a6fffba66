// Topics between nodes in this process.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createNode } from 'polypeer'
import { events, kept, MIB, random, transports, until } from './support.mjs'

const TOPIC = 'news'
const text = (message) => new TextDecoder().decode(message.data)

/** Nodes in a row: each is connected to the one before alone. */
async function row(t, count, options = {}) {
  const nodes = []
  for (let i = 0; i < count; i++) {
    const node = await kept(t, createNode({ listen: [transports.TCP], ...options }))
    if (i > 0) await node.dial(nodes[i - 1].addresses)
    nodes.push(node)
  }
  return nodes
}

/** Waits until each topic knows of so many peers. */
const met = async (topics, peers) => {
  for (const topic of topics) await until(() => topic.peers.length >= peers)
}

const take = async (topic, count) => {
  const all = []
  while (all.length < count) all.push((await topic.next()).value)
  return all
}

describe('topics', { timeout: 60_000 }, () => {
  it('tell each what the other publishes, from whom, and signed', async (t) => {
    const [one, two] = await row(t, 2)
    const [at, there] = [one, two].map((node) => node.pubsub.subscribe(TOPIC))
    await met([at, there], 1)
    assert.deepEqual([at.name, at.peers, one.pubsub.topics], [TOPIC, [two.peerId], [TOPIC]])
    assert.deepEqual(there.publish('hello'), { peers: 1 })
    const large = random(500_000)
    there.publish(large)
    const [hello, big] = await take(at, 2)
    assert.equal(text(hello), 'hello')
    const { topic, from, receivedFrom, signed, seq } = hello
    assert.deepEqual([topic, from, receivedFrom, signed], [TOPIC, two.peerId, two.peerId, true])
    assert.ok(big.seq > seq && seq > 0n)
    assert.deepEqual(big.data, large)
    assert.equal(one.pubsub.stats().delivered, 2)
    assert.equal(two.pubsub.stats().published, 2)
    assert.ok(one.pubsub.score(two.peerId) > 0.5, 'it was the first to send messages')
    const [stranger] = await row(t, 1)
    assert.equal(one.pubsub.score(stranger.peerId), 0)
    assert.throws(() => one.pubsub.score('nobody'), { code: 'ERR_INVALID_ARGUMENT' })
  })

  it('pass on what they hear', async (t) => {
    const nodes = await row(t, 4)
    const topics = nodes.map((node) => node.pubsub.subscribe(TOPIC))
    // What comes before there is a mesh is told of to those outside of it alone.
    await until(() => topics.every(({ mesh }, i) => mesh.length === (i % 3 === 0 ? 1 : 2)))
    topics[0].publish('to the end')
    const [message] = await take(topics[3], 1)
    assert.equal(text(message), 'to the end')
    assert.deepEqual([message.from, message.receivedFrom], [nodes[0].peerId, nodes[2].peerId])
  })

  it('are heard without being subscribed to', async (t) => {
    const [one, two] = await row(t, 2)
    const heard = []
    const topic = one.pubsub.subscribe(TOPIC, (message) => heard.push(text(message)))
    await until(() => two.pubsub.publish(TOPIC, 'ping').peers === 1)
    await until(() => heard.length > 0)
    assert.deepEqual([heard[0], two.pubsub.topics, topic.peers], ['ping', [], []])
  })

  it('judge messages at once or later', async (t) => {
    const [one, two] = await row(t, 2)
    const failures = events(one, 'topic:error')
    const validator = (message) => {
      const said = text(message)
      if (said === 'throw') throw new Error('no idea')
      return said === 'later' ? Promise.resolve('accept') : said === 'good'
    }
    const at = one.pubsub.subscribe(TOPIC, { validator })
    const there = two.pubsub.subscribe(TOPIC)
    await met([at, there], 1)
    for (const said of ['bad', 'throw', 'later', 'good']) there.publish(said)
    assert.deepEqual((await take(at, 2)).map(text).sort(), ['good', 'later'])
    const [{ topic, error }] = await failures
    assert.deepEqual([topic, error.message], [TOPIC, 'no idea'])
    const { rejected, ignored, delivered } = one.pubsub.stats()
    assert.deepEqual([rejected, ignored, delivered], [1, 1, 2])
    assert.ok(one.pubsub.score(two.peerId) < 0, 'it sent a bad one')
  })

  it('end with the loop that reads them, and others are told', async (t) => {
    const [one, two] = await row(t, 2)
    const joined = events(one, 'topic:join')
    const at = one.pubsub.subscribe(TOPIC)
    const again = two.pubsub.subscribe(TOPIC)
    const there = two.pubsub.subscribe(TOPIC)
    assert.deepEqual(await joined, [{ topic: TOPIC, peer: two.peerId }])
    await met([there], 1)
    const left = events(one, 'topic:leave')
    at.publish('bye')
    for await (const message of there) {
      assert.equal(text(message), 'bye')
      break
    }
    // The other reader is still there.
    assert.equal(text((await again.next()).value), 'bye')
    assert.deepEqual(two.pubsub.topics, [TOPIC])
    again.close()
    assert.deepEqual(await left, [{ topic: TOPIC, peer: two.peerId }])
    assert.deepEqual(two.pubsub.topics, [])
    assert.deepEqual(await again.next(), { done: true, value: undefined })
    assert.deepEqual(at.publish('anyone?'), { peers: 0 })
  })

  it('end with their node', async () => {
    const node = await createNode()
    const topic = node.pubsub.subscribe(TOPIC)
    const next = topic.next()
    await node.close()
    assert.deepEqual(await next, { done: true, value: undefined })
    assert.deepEqual(topic.peers, [])
    topic.close()
    assert.throws(() => topic.publish('hello'), { code: 'ERR_CLOSED' })
  })

  it('keep a bounded number of messages for those who do not read', async (t) => {
    const [one, two] = await row(t, 2)
    const [at, there] = [one, two].map((node) => node.pubsub.subscribe(TOPIC))
    await met([at, there], 1)
    for (let i = 1; i <= 18; i++) {
      there.publish(random(MIB - 1000))
      await until(() => one.pubsub.stats().delivered === i)
    }
    assert.equal(at.missed, 2)
    assert.equal((await take(at, 16)).length, 16)
  })

  it('go unsigned where all agree, and those who do not are not heard', async (t) => {
    const [one, two] = await row(t, 2, { pubsub: { sign: false } })
    const signing = await kept(t, createNode())
    await signing.dial(one.addresses)
    const [at, there, apart] = [one, two, signing].map((node) => node.pubsub.subscribe(TOPIC))
    await met([at], 2)
    await met([there, apart], 1)
    apart.publish('signed')
    await until(() => one.pubsub.stats().rejected === 1)
    there.publish('unsigned')
    const [{ from, seq, signed, data }] = await take(at, 1)
    assert.deepEqual(
      [from, seq, signed, Buffer.from(data).toString()],
      [undefined, undefined, false, 'unsigned'],
    )
  })

  it('speak floodsub alone if they are told to', async (t) => {
    const [one, two] = await row(t, 2, { pubsub: { mode: 'floodsub' } })
    const usual = await kept(t, createNode())
    await usual.dial(one.addresses)
    const topics = [one, two, usual].map((node) => node.pubsub.subscribe(TOPIC))
    await met(topics, 1)
    await met([topics[0]], 2)
    topics[1].publish('flood')
    for (const topic of [topics[0], topics[2]]) assert.equal(text((await topic.next()).value), 'flood')
    assert.deepEqual(topics[0].mesh, [])
  })

  it('say what is wrong', async (t) => {
    const node = await kept(t, createNode())
    assert.throws(() => node.pubsub.subscribe(''), { code: 'ERR_INVALID_ARGUMENT' })
    assert.throws(() => node.pubsub.subscribe('x'.repeat(5000)), { code: 'ERR_INVALID_ARGUMENT' })
    assert.throws(() => node.pubsub.publish(TOPIC, new Uint8Array(MIB)), { code: 'ERR_LIMIT' })
    const short = node.pubsub.subscribe(TOPIC, { maxDataLength: 4 })
    assert.throws(() => short.publish('hello'), { code: 'ERR_LIMIT' })
    await assert.rejects(createNode({ pubsub: { heartbeat: 0 } }), { code: 'ERR_INVALID_ARGUMENT' })
    await assert.rejects(createNode({ pubsub: { explicit: ['nobody'] } }), { code: 'ERR_ADDRESS' })
  })
})
