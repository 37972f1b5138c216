// Package sysprep tells whether a host can hold a number of connections, which of its limits comes first, and what to
// change; and it changes it, when asked.
//
// A Check reads the host and judges what was read, and the two are apart where judging takes more than a comparison.
// Each group of checks has its file (memory.go, buffers.go, ...), those with more to say have one of their own, and a
// new check is a line in its group's list. Everything is read below one root directory, so that a fixture tree can
// stand for any host: testdata/hosts has them as archives. What cannot be read skips the check and never passes it.
// No check asks for a limit to be lowered but where the limit itself does harm, and no program lowers it.
//
// Model is what a connection costs; docs/capacity.md explains it, and scripts/capacity holds it against a real pushd.
// Printing is left to cmd/sysprep; pushd runs AtStart when it starts.
package sysprep
