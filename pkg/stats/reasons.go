package stats

import "slices"

// Repeat is the key in Snapshot.Dropped of items whose id came again. Unlike the others it counts items and not subscriptions:
// nobody gets them, and no loop sees them.
const Repeat = "repeat"

// CloseReasons lists the keys that Snapshot.Closed can have. A reason that never happened is not in the map.
func CloseReasons() []string { return slices.Clone(closeReasons[:]) }

// DropReasons lists the keys that Snapshot.Dropped can have.
func DropReasons() []string { return append(slices.Clone(dropReasons[:]), Repeat) }
