package rest

import "github.com/towpath/towpath/internal/towpath"

// Statuses is the table of kinds for tests.
func Statuses() map[towpath.Kind]int {
	out := map[towpath.Kind]int{}
	for k, row := range statuses() {
		out[k] = row.status
	}
	return out
}

// ReadAlerts reads a notification of alerts.
var ReadAlerts = readAlerts
