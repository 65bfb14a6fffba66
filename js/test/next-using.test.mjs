// `await using`, in Nodes that know it.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createNode } from 'polypeer'
import { ECHO, random, readAll, server, transports } from './support.mjs'

it('the end of a scope closes nodes, connections and streams', { timeout: 60_000 }, async () => {
  await using there = await server([transports.TCP])
  let node
  let connection
  let stream
  {
    await using here = await createNode()
    node = here
    {
      await using open = await here.dial(there.addresses)
      connection = open
      await using echo = await open.openStream(ECHO)
      stream = echo
      await echo.write(random(5))
      await echo.closeWrite()
      assert.equal((await readAll(echo)).length, 5)
    }
    assert.equal(stream.status, 'closed')
    assert.equal(connection.status, 'closed')
  }
  assert.ok(node.closed)
})
