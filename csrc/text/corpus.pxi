# A corpus as numbers: what is cut and looked up runs in C++.

cdef extern from *:
    """
    // The words of each line that have a number, and where lines end. Each thread has a stretch of the lines.
    static void einkorn_text_numbers(const einkorn::text::Characters& characters, const einkorn::text::StringTable& numbers,
                                     std::string_view chunk, int threads, std::vector<int32_t>& tokens,
                                     std::vector<int64_t>& ends) {
      const std::vector<std::string_view> lines = einkorn_text_lines(chunk);
      const size_t parts = threads < 1 ? 1 : static_cast<size_t>(threads);
      std::vector<std::vector<int32_t>> found(parts);
      ends.resize(lines.size());
      einkorn::text::in_parallel(parts, chunk.size(), threads, [&](size_t part) {
        for (size_t i = lines.size() * part / parts; i < lines.size() * (part + 1) / parts; ++i) {
          size_t at = 0;
          einkorn::text::Piece piece;
          while (einkorn::text::next_piece(einkorn::text::Split::spaces, characters, lines[i], at, piece)) {
            const int32_t number = numbers.find(lines[i].substr(piece.start, piece.end - piece.start));
            if (number != einkorn::text::StringTable::kAbsent) found[part].push_back(number);
          }
          ends[i] = static_cast<int64_t>(found[part].size());
        }
      });
      for (size_t part = 0; part < parts; ++part) {
        const int64_t before = static_cast<int64_t>(tokens.size());
        for (size_t i = lines.size() * part / parts; i < lines.size() * (part + 1) / parts; ++i) ends[i] += before;
        tokens.insert(tokens.end(), found[part].begin(), found[part].end());
      }
    }
    """
    void numbers_of "einkorn_text_numbers" (
        const CCharacters&, const CTable&, string_view, int, vector[int32_t]&, vector[int64_t]&) except +raise_refused nogil


cdef class Numbers:
    cdef SharedCharacters characters
    cdef CTable own

    def __init__(self, Characters characters not None, list words not None):
        self.characters = characters.own
        cdef int64_t* place
        for number, word in enumerate(words):
            place = &self.own.count(view(word))
            place[0] = number

    def lines(self, bytes chunk not None, int threads):
        """Words of lines by number (int32), and where lines end (int64), as bytes."""
        cdef vector[int32_t] tokens
        cdef vector[int64_t] ends
        cdef string_view text = view(chunk)
        with nogil:
            numbers_of(self.characters.get()[0], self.own, text, threads, tokens, ends)
        return (
            PyBytes_FromStringAndSize(<const char*>tokens.data(), tokens.size() * 4),
            PyBytes_FromStringAndSize(<const char*>ends.data(), ends.size() * 8),
        )
