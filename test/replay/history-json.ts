/**
 * A history as proto JSON, the form that Temporal's own tools write and read. The SDK's `historyToJSON` and
 * `historyFromJSON` do the same, but fail with "type must be a Type" where npm installs more than one copy of protobufjs,
 * as it does here: the converter must come from the copy that the types were made with.
 */
import { createRequire } from 'node:module'
import type { History } from '@temporalio/common/lib/proto-utils.js'

interface ProtoJson {
  toJson(type: unknown, message: object): unknown
  fromJson(type: unknown, json: unknown, options: { ignoreUnknownFields: boolean }): History
}

interface ProtoRoot {
  lookupType(name: string): unknown
}

export function historyToJson(history: History): string {
  const { converter, type } = loadConverter()
  return JSON.stringify(converter.toJson(type, history))
}

/** What `Worker.runReplayHistory` takes. */
export function historyFromJson(text: string): History {
  const { converter, type } = loadConverter()
  return converter.fromJson(type, JSON.parse(text), { ignoreUnknownFields: true })
}

function loadConverter(): { converter: ProtoJson; type: unknown } {
  const common = createRequire(import.meta.resolve('@temporalio/common'))
  const beside = createRequire(common.resolve('@temporalio/proto'))
  const { patchProtobufRoot } = common('@temporalio/proto/lib/patch-protobuf-root') as {
    patchProtobufRoot: (root: unknown) => ProtoRoot
  }
  const root = patchProtobufRoot(common('@temporalio/proto'))
  const converter = beside('protobufjs/ext/protojson') as ProtoJson
  return { converter, type: root.lookupType('temporal.api.history.v1.History') }
}
