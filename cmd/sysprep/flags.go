package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"holdfast/cmd/internal/app"
)

func newApp() *cli.App {
	a := app.New("sysprep", "tell whether this host can hold N connections, and what to change")
	a.UsageText = "sysprep COMMAND [options]"
	a.Description = "sysprep check -n 1M is the place to begin."
	a.Commands = []*cli.Command{checkCommand(), capacityCommand(), explainCommand(), watchCommand(),
		fixCommand(), undoCommand(), printCommand(), auditCommand()}
	a.Action = func(c *cli.Context) error {
		if name := c.Args().First(); name != "" {
			return app.UnknownCommand(a, name)
		}
		there := strings.Join(app.CommandNames(a), ", ")
		return app.Usagef("no command given; there are: %s", there)
	}
	app.HelpCommands(a)
	return a
}
