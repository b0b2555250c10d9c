package query

// Member is member.
var Member = member
