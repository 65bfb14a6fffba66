import { createNode } from 'polypeer'
import { server, transports, ECHO, readAll, random, events } from './support.mjs'
const there = await server([transports.TCP]); const here = await createNode()
const connection = await here.dial(there.addresses)
await events(here,'peer:identify')
for (const [n,node] of [['there',there],['here',here]]) { const c=node.engine.core; const o=c.drain.bind(c); c.drain=()=>{const e=o(); for(const x of e) console.log(n,x.type,x.stream??''); return e}}
const N=+process.argv[2]
let done=0
const cycle = async () => {
      const stream = await connection.openStream(ECHO);
      await stream.write(new Uint8Array(10))
      await stream.closeWrite(); 
      await readAll(stream); done++
}
setTimeout(()=>{console.log(done);process.exit()},1000)
await Promise.all(Array.from({length:N},cycle))
