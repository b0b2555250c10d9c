package hubemulator

// CheckQuery parses a query and returns its SQL condition and arguments.
func CheckQuery(text string) (where string, args []any, err error) {
	c, err := parseQuery(text)
	return c.text, c.args, err
}
