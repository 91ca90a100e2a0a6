/** Deployments, by the keeper's own record: each operation was carried out once, under one number. */
import { groupBy } from '../../collections.ts'
import type { FindingWriter } from '../../finding.ts'
import type { Memory } from '../../memory.ts'

export function checkDeployments({ environments }: Memory, finding: FindingWriter): void {
  for (const { name, keeper, fence: known } of environments) {
    const answered = keeper?.answered ?? []
    finding.look('operations', answered.length)
    for (const [operationId, records] of groupBy(answered, (operation) => operation.operationId)) {
      const fences = records.map(({ fence }) => fence)
      if (records.length > 1) {
        finding.blame(
          `environment ${name}`,
          `carried ${operationId} out ${String(records.length)} times, under the numbers ${fences.join(', ')}`,
        )
      }
    }
    const falling = answered.find(({ fence }, index) => fence < (answered[index - 1]?.fence ?? 0))
    if (falling !== undefined)
      finding.blame(`environment ${name}`, `carried ${falling.operationId} out under an old number, ${String(falling.fence)}`)
    if (keeper !== undefined && keeper.fence > known) {
      finding.blame(`environment ${name}`, `the keeper saw number ${String(keeper.fence)}, and the store knows ${String(known)}`)
    }
  }
}
