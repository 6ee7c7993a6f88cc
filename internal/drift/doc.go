// Package drift says how what runs differs from what was deployed, and what to
// do about it: nothing yet, report, repair, wait, or leave it alone. It is pure:
// no I/O, no clock. What may be a secret is never in what it says. Start reading
// at Differences; See takes what was seen into account, Decide says what to do.
package drift
