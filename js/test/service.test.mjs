// Services: protocols of one's own with sessions, versions, timers, priorities.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createNode } from 'polypeer'
import { chat } from '../examples/chat.mjs'
import { events, kept, turns, until } from './support.mjs'

const options = { timeout: 60_000 }
const CHAT = '/chat/1.0.0'
const LISTEN = ['/ip4/127.0.0.1/tcp/0']
const bytes = (text) => new TextEncoder().encode(text)
const text = (value) => new TextDecoder().decode(value)

/** A service that notes each callback, and each of its sessions. */
function recorder() {
  const notes = []
  const service = {
    notes,
    session: () => ({
      connected: (session) => {
        notes.push('session connected')
        session.setTimer('hello', 20)
      },
      received: (message) => void notes.push(`session received ${text(message)}`),
      notified: (token) => void notes.push(`session notified ${token}`),
      disconnected: (end) => void notes.push(`session disconnected ${end}`),
    }),
    connected: ({ protocol }) => void notes.push(`connected ${protocol}`),
    received: (message, session) => {
      notes.push(`received ${text(message)}`)
      if (text(message) === 'ask') session.send(bytes('answer'))
      if (text(message) === 'fail') throw new Error('as asked')
    },
    notified: (token) => void notes.push(`notified ${token}`),
    disconnected: (end) => void notes.push(`disconnected ${end}`),
  }
  return service
}

/** Two connected nodes; the first has dialed. */
async function nodes(t) {
  const there = await kept(t, createNode({ listen: LISTEN }))
  const here = await kept(t, createNode())
  return { here, there, connect: () => here.dial(there.addresses) }
}

/** Two nodes with the same service and their session. */
async function pair(t, settings = {}) {
  const { here, there, connect } = await nodes(t)
  const [ours, theirs] = [recorder(), recorder()]
  const a = here.serve({ protocol: CHAT, ...settings }, ours)
  const b = there.serve({ protocol: CHAT, ...settings }, theirs)
  const both = Promise.all([events(here, 'session:open'), events(there, 'session:open')])
  await connect()
  await both
  await until(() => a.sessions.length === 1 && b.sessions.length === 1)
  return { here, there, a, b, ours: ours.notes, theirs: theirs.notes }
}

describe('a service', options, () => {
  it('gets its callbacks in order, for the node and for the session', async (t) => {
    const { a, b, ours, theirs, there } = await pair(t)
    await until(() => ours.length >= 3)
    assert.deepEqual(ours.slice(0, 3), [
      'connected /chat/1.0.0',
      'session connected',
      'session notified hello',
    ])
    assert.equal(a.sessions[0].direction, 'outbound')
    assert.equal(a.session(there.peerId), a.sessions[0])
    assert.equal(a.broadcast(bytes('ask')), 1)
    await until(() => ours.includes('session received answer'))
    assert.ok(theirs.indexOf('received ask') < theirs.indexOf('session received ask'))
    a.sessions[0].close()
    assert.deepEqual(ours.slice(-2), ['session disconnected local', 'disconnected local'])
    await until(() => b.sessions.length === 0)
    assert.ok(theirs.includes('disconnected reset'))
  })

  it('is opened again on demand, and ends with its connection or itself', async (t) => {
    const { here, there, a, b, ours } = await pair(t)
    a.sessions[0].close()
    await until(() => b.sessions.length === 0)
    const session = await b.open(here.peerId)
    assert.equal(session, await b.open(here.peerId))
    await until(() => a.sessions.length === 1)
    assert.equal(a.sessions[0].direction, 'inbound')
    await here.hangUp(there.peerId)
    await until(() => a.sessions.length === 0 && b.sessions.length === 0)
    assert.equal(ours.at(-1), 'disconnected disconnected')
    await assert.rejects(a.open(there.peerId), { code: 'ERR_CONNECTION_CLOSED' })
    a.close()
    assert.deepEqual(here.protocols, [])
    here.serve({ protocol: CHAT }, {})
    assert.throws(() => here.serve({ protocol: CHAT }, {}), { code: 'ERR_INVALID_ARGUMENT' })
  })

  it('speaks the best version that both know', async (t) => {
    const { here, there, connect } = await nodes(t)
    const range = (own) => ({ protocol: { name: '/chat', versions: '^1.2', own } })
    const a = here.serve(range('1.2.0'), {})
    there.serve(range('1.9.3'), {})
    here.serve({ protocol: ['/list/2', '/list/1'] }, {})
    there.serve({ protocol: ['/list/1'] }, {})
    here.serve({ protocol: '/only/1' }, {})
    there.serve({ protocol: '/only/2' }, {})
    const opened = events(here, 'session:open', 2)
    await connect()
    const spoken = (await opened).map(({ session }) => session.protocol).sort()
    assert.deepEqual(spoken, ['/chat/1.9.3', '/list/1'])
    assert.equal(a.name, '/chat/1.2.0')
    for (const protocol of [
      { name: '/a', versions: 'one', own: '1.0.0' },
      { name: '/a', versions: '^1', own: '2.0.0' },
    ]) {
      assert.throws(() => here.serve({ protocol }, {}), { code: 'ERR_INVALID_ARGUMENT' })
    }
  })

  it('tells every error in one place', async (t) => {
    const { there, a, b } = await pair(t)
    const failed = events(there, 'service:error')
    const closed = events(there, 'session:close')
    a.broadcast(bytes('fail'))
    const [{ service, peer, error }] = await failed
    assert.deepEqual([service, error.message], [CHAT, 'as asked'])
    assert.equal(peer, there.connections[0].peer)
    assert.equal((await closed)[0].end, 'failed')
    assert.equal(b.sessions.length, 0)
    assert.equal(there.connections.length, 1)
  })

  it('has timers with names', async (t) => {
    const node = await kept(t, createNode())
    const { notes, ...service } = recorder()
    const running = node.serve({ protocol: CHAT }, service)
    running.setTimer('a', 30)
    running.setTimer('b', 10)
    running.setTimer('c', 15)
    running.clearTimer('c')
    running.setTimer('a', 20)
    await until(() => notes.length === 2)
    assert.deepEqual(notes, ['notified b', 'notified a'])
    for (let timer = 0; timer < 32; timer++) running.setTimer(String(timer), 1_000_000)
    assert.throws(() => running.setTimer('one more', 1), { code: 'ERR_LIMIT' })
  })

  it('sends what is urgent before what waits, and says when the queue is full', async (t) => {
    const { here, there, connect } = await nodes(t)
    const order = []
    let resume
    const paused = new Promise((resolve) => {
      resume = resolve
    })
    there.serve(
      { protocol: CHAT, maxMessage: 2 ** 20 },
      {
        received: async (message) => {
          await paused
          order.push(message[0])
        },
      },
    )
    const a = here.serve({ protocol: CHAT, maxMessage: 2 ** 20, queue: 2 ** 21 + 1024 }, {})
    const opened = events(here, 'session:open')
    await connect()
    await opened
    const [session] = a.sessions
    const full = events(here, 'service:error')
    const big = (first) => new Uint8Array(2 ** 20).fill(first)
    let sent = 0
    for (;;) {
      try {
        session.send(big(1))
        sent++
      } catch (error) {
        assert.equal(error.code, 'ERR_LIMIT')
        break
      }
      await turns(5)
    }
    assert.equal((await full)[0].error.code, 'ERR_LIMIT')
    assert.ok(session.queued > 2 ** 20 && session.queued <= 2 ** 21 + 1024)
    assert.ok(sent < 12, 'a reader that waits holds its sender up')
    session.send(Uint8Array.of(2), 'high')
    resume()
    await session.drained()
    await until(() => order.length === sent + 1)
    assert.ok(order.indexOf(2) < sent, 'it came before what had waited longer')
  })

  it('drops the oldest where it is told to', async (t) => {
    const { here, there, connect } = await nodes(t)
    there.serve({ protocol: CHAT }, { received: () => new Promise(() => {}) })
    const a = here.serve({ protocol: CHAT, full: 'drop-oldest', patience: 300 }, {})
    const opened = events(here, 'session:open')
    await connect()
    await opened
    const [session] = a.sessions
    let dropped = 0
    for (let count = 0; count < 40; count++) dropped += session.send(new Uint8Array(100_000))
    assert.ok(dropped > 20)
    const [{ end }] = await events(here, 'session:close')
    assert.equal(end, 'stalled', 'who never reads loses its session')
  })

  it('ends with one session when both open at once', async (t) => {
    for (let round = 0; round < 5; round++) {
      const { here, there, connect } = await nodes(t)
      const [a, b] = [here, there].map((node) => node.serve({ protocol: CHAT, automatic: false }, {}))
      await connect()
      await until(() => there.connections.length === 1)
      await Promise.allSettled([a.open(there.peerId), b.open(here.peerId)])
      await until(() => a.sessions.length === 1 && b.sessions.length === 1)
      await turns(50)
      assert.notEqual(a.sessions[0].direction, b.sessions[0].direction)
    }
  })
})

describe('a hostile peer of a service', options, () => {
  /** A stream that is to be reset, while it is opened or after that. */
  const refused = (connection) => connection.openStream(CHAT).then((stream) => stream.read())

  async function hostile(t, settings = {}) {
    const there = await kept(t, createNode({ listen: LISTEN }))
    const running = there.serve({ protocol: CHAT, ...settings }, {})
    const here = await kept(t, createNode())
    const connection = await here.dial(there.addresses)
    return { there, running, connection }
  }

  it('sends a message that is too long', async (t) => {
    const { there, connection } = await hostile(t)
    const closed = events(there, 'session:close')
    const stream = await connection.openStream(CHAT)
    await stream.write(Uint8Array.of(0xff, 0xff, 0xff, 0x7f))
    assert.equal((await closed)[0].end, 'reset')
    assert.equal(there.connections.length, 1)
  })

  it('opens in a loop', async (t) => {
    const { there, running, connection } = await hostile(t)
    const failed = events(there, 'service:error')
    let opened = 0
    there.addEventListener('session:open', () => opened++)
    for (let count = 1; count <= 12; count++) {
      await connection.openStream(CHAT)
      await until(() => opened === count)
      assert.equal(running.sessions.length, 1, 'each takes the place of the one before')
    }
    for (let count = 0; count < 5; count++) {
      await assert.rejects(refused(connection), { code: 'ERR_STREAM_RESET' })
    }
    assert.match((await failed)[0].error.message, /too often/)
    assert.equal(opened, 12)
    assert.ok(running.sessions.length <= 1)
  })

  it('finds no room', async (t) => {
    const { there, running, connection } = await hostile(t, { maxSessions: 0 })
    const failed = events(there, 'service:error')
    await assert.rejects(refused(connection), { code: 'ERR_STREAM_RESET' })
    assert.equal((await failed)[0].error.code, 'ERR_LIMIT')
    assert.equal(running.sessions.length, 0)
  })
})

describe('the example', options, () => {
  it('chats', async () => {
    assert.deepEqual(await chat(), {
      ann: ['somebody says hello', 'Bob: good evening'],
      bob: ['somebody says hello', 'Ann: good morning', 'somebody left after 3 lines'],
    })
  })
})
