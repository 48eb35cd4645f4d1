# A corpus as numbers: what is cut and looked up runs in C++.

cdef extern from *:
    """
    // The words of each line that have a number, and where lines end.
    static void einkorn_text_numbers(const einkorn::text::Characters& characters, const einkorn::text::StringTable& numbers,
                                     std::string_view chunk, std::vector<int32_t>& tokens, std::vector<int64_t>& ends) {
      for (const std::string_view line : einkorn_text_lines(chunk)) {
        size_t at = 0;
        einkorn::text::Piece piece;
        while (einkorn::text::next_piece(einkorn::text::Split::spaces, characters, line, at, piece)) {
          const int32_t number = numbers.find(line.substr(piece.start, piece.end - piece.start));
          if (number != einkorn::text::StringTable::kAbsent) tokens.push_back(number);
        }
        ends.push_back(static_cast<int64_t>(tokens.size()));
      }
    }
    """
    void numbers_of "einkorn_text_numbers" (
        const CCharacters&, const CTable&, string_view, vector[int32_t]&, vector[int64_t]&) except +raise_refused nogil


cdef class Numbers:
    cdef SharedCharacters characters
    cdef CTable own

    def __init__(self, Characters characters not None, list words not None):
        self.characters = characters.own
        cdef int64_t* place
        for number, word in enumerate(words):
            place = &self.own.count(view(word))
            place[0] = number

    def lines(self, bytes chunk not None):
        """Words of lines by number (int32), and where lines end (int64), as bytes."""
        cdef vector[int32_t] tokens
        cdef vector[int64_t] ends
        cdef string_view text = view(chunk)
        with nogil:
            numbers_of(self.characters.get()[0], self.own, text, tokens, ends)
        return (
            PyBytes_FromStringAndSize(<const char*>tokens.data(), tokens.size() * 4),
            PyBytes_FromStringAndSize(<const char*>ends.data(), ends.size() * 8),
        )
