// Package sysprep tells whether a host can hold a number of connections, which of its limits comes first, and what to
// change.
//
// One Check is one file: a function that reads the host, and one that judges what was read, without reading anything.
// A new check is such a file and a line in the list of checks.go. Everything is read below one root directory, so that
// a fixture tree can stand for any host. Nothing here changes the host, and no check ever asks for a limit to be
// lowered. Printing is left to cmd/sysprep; pushd runs the same checks when it starts.
package sysprep
