package cli

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/towpath"
)

const usageTemplate = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if (and (eq .GroupID $group.ID) .IsAvailableCommand)}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{if not .AllChildCommandsHaveGroup}}

Commands:{{range $cmds}}{{if (and (eq .GroupID "") .IsAvailableCommand)}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Global flags:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}

Exit codes:
`

// newRoot is the whole tree of commands.
func newRoot(s *session) *cobra.Command {
	root := s.group("towpath", "Haul infrastructure releases upstream: dev, staging, prod, gate by gate")
	root.Long = root.Short + ".\n\nData goes to stdout, progress and errors to stderr. -o json and -o yaml print an object whose first member, schema, is " +
		OutputSchema + ": within this version members are added, never removed or changed. -o name prints IDs, one a line."
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetUsageTemplate(usageTemplate + exitHelp())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError(cmd, err) })
	root.PersistentPreRunE = s.begin
	root.CompletionOptions.HiddenDefaultCmd = false
	f := root.PersistentFlags()
	f.StringVar(&s.flags.url, "url", "", "the server's URL (TOWPATH_URL, "+clientFile+")")
	f.StringVar(&s.flags.token, "token", "", "bearer token; other users of the machine can see it, prefer TOWPATH_TOKEN or "+clientFile)
	f.StringVarP(&s.flags.project, "project", "p", "", "the project (TOWPATH_PROJECT, "+projectFile+", "+clientFile+")")
	f.VarP(&s.flags.output, "output", "o", "table, wide, json, yaml or name")
	f.StringVarP(&s.flags.dir, "directory", "C", ".", "run as if started in this folder")
	f.DurationVar(&s.flags.timeout, "timeout", 0, "give up after this time; what the server was asked to do goes on")
	add := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	add("start", "Start here:", newInit(s), newDev(s), newDemo(s), newDoctor(s))
	add("release", "Releases:", newRelease(s), newLock(s), newQuarantine(s), newUnquarantine(s))
	add("promote", "Promotion:", newPlan(s), newPromote(s), newPromotion(s), newApprove(s), newReject(s), newCancel(s),
		newOpen(s), newHold(s), newUnhold(s), newFreeze(s), newUnfreeze(s), newCheck(s))
	add("run", "What runs:", newStatus(s), newVerify(s), newRollout(s), newExperiment(s), newRollback(s), newDrift(s), newRepair(s), newAnalysis(s), newDeployment(s), newOperation(s))
	add("admin", "Administration:", newProject(s), newAudit(s), newAccount(s), newToken(s), newKey(s), newTrust(s), newScan(s), newRegistry(s), newReplication(s), newServer(s), newAgent(s))
	root.AddCommand(newSchema(s), newVersion(s), newShim(s), newRouter(s))
	root.SetOut(s.stdout)                       // which the next line keeps
	root.InitDefaultCompletionCmd("completion") // now, so that it can be asked for an unknown shell
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Args, c.RunE = cobra.ArbitraryArgs, s.group("", "").RunE
		}
	}
	return root
}

// begin applies what every command shares.
func (s *session) begin(cmd *cobra.Command, _ []string) error {
	if info, err := os.Stat(s.flags.dir); err != nil || !info.IsDir() {
		return towpath.E(towpath.KindInvalid, "", "there is no folder %s", s.flags.dir).WithHint("-C names one that is there")
	}
	ctx := cmd.Context()
	if s.flags.timeout > 0 {
		ctx, s.cancel = context.WithTimeout(ctx, s.flags.timeout)
		cmd.SetContext(ctx)
	}
	s.ctx = ctx
	return nil
}

// group is a command that only has others below it.
func (s *session) group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			var known []string
			for _, c := range cmd.Commands() {
				if !c.Hidden {
					known = append(known, c.Name())
				}
			}
			hint := didyoumean.Hint(args[0], known)
			if hint == "" {
				hint = "see: " + cmd.CommandPath() + " --help"
			}
			return towpath.E(towpath.KindInvalid, "", "%s has no command %q", cmd.CommandPath(), args[0]).WithHint("%s", hint)
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}

// positional takes from least to most arguments, as the command's use says.
func positional(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		what := "too few arguments"
		if len(args) > most {
			what = "too many arguments"
		}
		return usageError(cmd, towpath.E(towpath.KindInvalid, "", "%s", what))
	}
}

func usageError(cmd *cobra.Command, err error) error {
	var known *towpath.Error // of a flag's value
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &known) && known.Hint != "":
		return known
	case errors.As(err, &unknown):
		if name := nearestFlag(cmd, unknown.GetSpecifiedName()); name != "" {
			return towpath.E(towpath.KindInvalid, "", "%s", err).WithHint("did you mean --%s?", name)
		}
	}
	message := err.Error()
	return towpath.E(towpath.KindInvalid, "", "%s", strings.TrimSpace(message)).
		WithHint("%s (towpath help %s)", cmd.UseLine(), strings.TrimPrefix(cmd.CommandPath(), "towpath "))
}

// nearestFlag is the flag that a misspelt one was meant to be.
func nearestFlag(cmd *cobra.Command, got string) string {
	var known []string
	all := func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	}
	cmd.Flags().VisitAll(all)
	cmd.InheritedFlags().VisitAll(all)
	return didyoumean.Name(got, known)
}

// count is a flag's value: a whole number that is not negative.
type count int

// String implements pflag.Value.
func (c *count) String() string { return strconv.Itoa(int(*c)) }

// Type implements pflag.Value.
func (c *count) Type() string { return "int" }

// Set implements pflag.Value.
func (c *count) Set(v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return towpath.E(towpath.KindInvalid, "", "%q is no count", v).WithHint("write a whole number such as 50")
	}
	*c = count(n)
	return nil
}
