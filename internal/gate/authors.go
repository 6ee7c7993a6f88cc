package gate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// unknownAuthors says why it can't be told who wrote the candidate, and what
// to do; why is empty when every author is an account.
func unknownAuthors(in Input) (hint, why string) {
	if len(in.Authors) == 0 {
		if in.Candidate.Commit == in.Environment.Commit && in.Candidate.Commit != "" {
			return "", ""
		}
		return "they are read from git by themselves", fmt.Sprintf("The authors of %s are not known yet.", label(in))
	}
	var emails []string
	example := ""
	for _, a := range distinctAuthors(in) {
		if a.Account != "" {
			continue
		}
		emails = append(emails, a.Email)
		if example == "" {
			example = fmt.Sprintf(" (as in %s %s)", towpath.Short(a.Commit), quote(a.Subject))
		}
	}
	slices.Sort(emails)
	emails = slices.Compact(emails)
	if len(emails) == 0 {
		return "", ""
	}
	return fmt.Sprintf("if you know whose address it is: towpath account identity add ACCOUNT %s", emails[0]),
		fmt.Sprintf("No account has %s as a verified commit identity%s, so it can't be told whether an author approves.", list(emails), example)
}

// distinctAuthors are the authors once per commit and address, in a stable
// order.
func distinctAuthors(in Input) []Author {
	out := slices.Clone(in.Authors)
	slices.SortFunc(out, func(a, b Author) int {
		return cmp.Or(cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.Account, b.Account),
			cmp.Compare(a.Email, b.Email), cmp.Compare(a.Subject, b.Subject))
	})
	return slices.CompactFunc(out, func(a, b Author) bool {
		return a.Commit == b.Commit && a.Account == b.Account && (a.Account != "" || a.Email == b.Email)
	})
}

// authorNames are the accounts and unmapped addresses behind the candidate.
func authorNames(in Input) []string {
	var out []string
	for _, a := range in.Authors {
		out = append(out, cmp.Or(string(a.Account), a.Email))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
