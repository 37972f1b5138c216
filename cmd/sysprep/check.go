package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fatih/color"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/sysprep"
)

// options are those of sysprep check.
type options struct {
	n    int64
	json bool
	root string
}

// check makes every check and prints the report on w. The exit code of its error says what came of it.
func check(w io.Writer, o options) error {
	h, err := sysprep.Open(o.root)
	if err != nil {
		return app.Exit(app.NotThere, fmt.Errorf("cannot check: there is no proc directory below %q", o.root))
	}
	r := sysprep.Run(h, sysprep.Target{N: o.n})
	if o.json {
		err = writeJSON(w, r)
	} else {
		// fatih/color has looked at standard output, NO_COLOR and TERM
		err = writeReport(w, r, w == io.Writer(os.Stdout) && !color.NoColor)
	}
	switch {
	case err != nil:
		return err
	case r.Count(sysprep.Fail) > 0:
		return app.Exit(app.Failed, nil) // the report has said it
	case r.Count(sysprep.Skip) == len(r.Checks):
		return app.Exit(app.NotThere, errors.New("none of the checks could be made"))
	}
	return nil
}

func writeJSON(w io.Writer, r sysprep.Report) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
