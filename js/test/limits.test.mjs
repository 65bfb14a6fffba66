// Limits, filters, bandwidth and figures.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createNode, DeniedError, LimitError } from 'polypeer'
import { ECHO, events, kept, MIB, pair, server, transports, until } from './support.mjs'

const options = { timeout: 60_000 }

describe('filters', options, () => {
  it('deny peers, addresses and networks, and can be changed', async (t) => {
    const there = await kept(t, server())
    const here = await kept(t, createNode({ filters: { deny: [there.peerId] } }))
    await assert.rejects(here.dial(there.addresses), DeniedError)
    await assert.rejects(here.dial(there.addresses), { code: 'ERR_DENIED' })

    here.filters.remove(there.peerId)
    here.filters.deny('/ip4/127.0.0.0/ipcidr/8')
    const failed = await here.dial(there.addresses).catch((error) => error)
    assert.equal(failed.code, 'ERR_DIAL')
    assert.ok(failed.attempts.length > 0)
    for (const { error } of failed.attempts) assert.equal(error.code, 'ERR_DENIED')

    here.filters.allow('/ip4/127.0.0.1')
    const connection = await here.dial(there.addresses)
    const closed = Promise.all([events(here, 'connection:close'), events(there, 'connection:close')])
    here.filters.deny('*', { direction: 'outbound' })
    await closed
    assert.equal(connection.status, 'closed')
  })

  it('keep remotes out that are denied', async (t) => {
    const there = await kept(t, server())
    const here = await kept(t, createNode())
    there.filters.deny(here.peerId, { direction: 'inbound' })
    const connected = await here.dial(there.addresses).catch(() => undefined)
    if (connected !== undefined) await events(here, 'connection:close')
    assert.deepEqual(there.peers, [])
    assert.ok(there.stats().refused.denied > 0)
  })

  it('say what they do not understand', async () => {
    await assert.rejects(createNode({ filters: { deny: ['10.0.0.0/8'] } }), { code: 'ERR_ADDRESS' })
    const bandwidth = { peers: { bob: { inbound: 1 } } }
    await assert.rejects(createNode({ bandwidth }), { code: 'ERR_ADDRESS' })
    await assert.rejects(createNode({ limits: { peer: { streams: -1 } } }), { code: 'ERR_INVALID_ARGUMENT' })
  })
})

describe('limits', options, () => {
  it('hold, and are counted', async (t) => {
    const there = await kept(t, server([transports.TCP]))
    const here = await kept(t, createNode({ limits: { protocolPeer: { streamsOut: 2 } } }))
    const connection = await here.dial(there.addresses)
    const streams = [await connection.openStream(ECHO), await connection.openStream(ECHO)]
    await assert.rejects(connection.openStream(ECHO), LimitError)
    const refused = () =>
      here
        .stats()
        .scopes.find(({ scope, resource }) => /protocol of/.test(scope) && /outbound/.test(resource))
    assert.deepEqual(
      { ...refused(), scope: '', resource: '' },
      {
        scope: '',
        resource: '',
        used: 2,
        limit: 2,
        refused: 1,
      },
    )
    streams[0].abort()
    await until(() => here.stats().streams.outbound < 2)
    await connection.openStream(ECHO)
  })
})

describe('bandwidth', options, () => {
  it('is limited, for a protocol or for all', async (t) => {
    const { here, connection } = await pair(t)
    here.setBandwidth({ outbound: MIB }, { protocol: ECHO })
    const stream = await connection.openStream(ECHO)
    const before = performance.now()
    const reading = (async () => {
      let length = 0
      for await (const bytes of stream) length += bytes.length
      return length
    })()
    await stream.write(new Uint8Array(MIB))
    await stream.closeWrite()
    assert.equal(await reading, MIB)
    // A tenth of a second's worth goes at once.
    assert.ok(performance.now() - before > 800)
    const stats = here.stats()
    const echo = stats.protocols.find(({ protocol }) => protocol === ECHO)
    // The agreement on the protocol is on the stream too.
    for (const bytes of [echo.bytesIn, echo.bytesOut]) assert.ok(bytes >= MIB && bytes < MIB + 200)
    assert.ok(stats.traffic.bytesOut > MIB && stats.traffic.rateOut > 0)
    assert.equal(stats.peers[0].peer, connection.peer)
    assert.equal(stats.connections.outbound, 1)
  })
})
