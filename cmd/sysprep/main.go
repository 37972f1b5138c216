// Command sysprep tells whether this host can hold N connections, why not, and what to change. The rules are those of
// package sysprep; this is its command line and its output.
package main

import (
	"os"

	"holdfast/cmd/internal/app"
)

func main() {
	os.Exit(app.Main(newApp(), os.Args))
}
