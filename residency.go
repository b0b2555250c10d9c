package dps

// CheckResidency holds a residency tag to its form; an empty one is none. Errors:
// [InvalidArgument].
func CheckResidency(field, tag string) error {
	if len(tag) > 64 {
		return Invalid(field, "length", "must have at most 64 characters")
	}
	for i := range len(tag) {
		c := tag[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '_' && c != '-' {
			return Invalid(field, "syntax", "must be of letters, digits and . _ -")
		}
	}
	return nil
}
