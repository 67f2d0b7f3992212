"""What an answer's text is made of: thoughts, tool calls, and what is said."""
