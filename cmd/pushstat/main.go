// Pushstat shows what a running pushd does.
package main

import (
	"os"

	"holdfast/cmd/internal/app"
)

func main() {
	os.Exit(app.Main(newApp(), os.Args))
}
