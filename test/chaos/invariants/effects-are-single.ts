/** I4: what was done outside was done once, by the word of those it was done to: steps' notes, registry, keeper, forge. */
import { createFinding, type Finding, type FindingWriter } from '../finding.ts'
import type { Memory } from '../memory.ts'
import { checkCommands } from './effects/commands.ts'
import { checkCommitStatuses } from './effects/commit-statuses.ts'
import { checkDeployments } from './effects/deployments.ts'
import { checkFinally } from './effects/finally.ts'
import { checkHanded } from './effects/handed.ts'
import { checkImages } from './effects/images.ts'
import { checkMigrations } from './effects/migrations.ts'
import { checkUndos } from './effects/undos.ts'

export async function effectsAreSingle(memory: Memory): Promise<Finding> {
  const finding: FindingWriter = createFinding('I4')
  for (const line of memory.effects.strange)
    finding.blame('the notes', `a line that no step writes whole: ${JSON.stringify(line)}`)
  checkCommands(memory, finding)
  checkHanded(memory, finding)
  checkFinally(memory, finding)
  checkUndos(memory, finding)
  checkDeployments(memory, finding)
  checkMigrations(memory, finding)
  checkCommitStatuses(memory, finding)
  await checkImages(memory, finding)
  return finding
}
