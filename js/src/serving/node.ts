/** The node with all that only Node can: services for others, and local networks. */

import type { Core as NodeCore } from '../../generated/node.js'
import type { Core } from '../core.js'
import { FullNode } from '../full.js'
import type { Host } from '../host.js'
import { NodeServices } from './services.js'

/** A node that can serve others. */
export class ServingNode extends FullNode {
  constructor(core: Core<NodeCore>, host: Host, privateKey: Uint8Array) {
    super(core, host, privateKey, (engine) => new NodeServices({ ...engine, core, host }))
  }
}
