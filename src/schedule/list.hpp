// A doubly linked list through its members: no allocation, removal from the middle in a few moves.
//
// It owns nothing. A node stands in at most one list per pair of links; who moves it from one list
// to another takes it out of the first.
#pragma once

#include <cstddef>

namespace hardstop::schedule {

template <class Node, Node* Node::*Prev, Node* Node::*Next>
class list {
 public:
  bool empty() const { return front_ == nullptr; }

  std::size_t size() const { return size_; }

  Node* front() const { return front_; }

  Node* back() const { return back_; }

  static Node* after(const Node& node) { return node.*Next; }

  static Node* before(const Node& node) { return node.*Prev; }

  void push_front(Node& node) { insert_before(front_, node); }

  void push_back(Node& node) {
    node.*Prev = back_;
    node.*Next = nullptr;
    (back_ != nullptr ? back_->*Next : front_) = &node;
    back_ = &node;
    ++size_;
  }

  // A null `place` is the end.
  void insert_before(Node* place, Node& node) {
    if (place == nullptr) return push_back(node);
    node.*Prev = place->*Prev;
    node.*Next = place;
    (place->*Prev != nullptr ? (place->*Prev)->*Next : front_) = &node;
    place->*Prev = &node;
    ++size_;
  }

  void remove(Node& node) {
    (node.*Prev != nullptr ? (node.*Prev)->*Next : front_) = node.*Next;
    (node.*Next != nullptr ? (node.*Next)->*Prev : back_) = node.*Prev;
    node.*Prev = nullptr;
    node.*Next = nullptr;
    --size_;
  }

 private:
  Node* front_ = nullptr;
  Node* back_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace hardstop::schedule
