/**
 * Messages and stack traces of failures become payloads, which are encrypted; type and retryability stay readable, and are what
 * workflows go by. Temporal's SDK loads this file by its path. The workflows' own converter reads both forms.
 */
import { DefaultFailureConverter } from '@temporalio/common'

export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true })
