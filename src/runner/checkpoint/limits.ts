/** What a checkpoint may hold: above it none is taken, and the step's log says so. */
export const checkpointLimits = { bytes: 1024 ** 3, entries: 200_000 } as const
export type CheckpointLimits = { readonly [Key in keyof typeof checkpointLimits]: number }

/** The parts of a workspace that a checkpoint holds; what is in `tmp` and `output` is a step's own while it runs. */
export const checkpointParts = ['checkout', 'home'] as const

/** The commit is fetched again, so its repository is not carried along: what a step did to it is not kept. */
export const fetchedAgain = 'checkout/.git'
