"""The models that are compared. Each learns from rows of features and gives logits."""

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional


def logarithms(features):
    """Counts and times spread over magnitudes; -1 stays the sign of what is missing."""
    return np.where(features < 0, -1.0, np.log1p(np.maximum(features, 0))).astype(np.float32)


class Logistic:
    def __init__(self, config):
        self.config = config["logistic"]

    def fit(self, features, follows, weights):
        logs = logarithms(features).astype(np.float64)
        self.mean, self.scale = logs.mean(0), np.maximum(logs.std(0), 1e-6)
        model = LogisticRegression(C=self.config["inverse_penalty"], solver="newton-cholesky")
        model.fit((logs - self.mean) / self.scale, follows, sample_weight=weights)
        self.weights = model.coef_[0] / self.scale
        self.bias = float(model.intercept_[0] - (self.mean * self.weights).sum())
        return self

    def logits(self, features):
        return logarithms(features) @ self.weights + self.bias


class Trees:
    def __init__(self, config):
        self.config, self.seed = config["trees"], config["seed"]

    def fit(self, features, follows, weights):
        bags = [self._bag(self.seed + bag) for bag in range(self.config["bags"])]
        self.bags = [bag.fit(features, follows, sample_weight=weights) for bag in bags]
        return self

    def logits(self, features):
        return np.mean([bag.decision_function(features) for bag in self.bags], axis=0)

    def _bag(self, seed):
        return HistGradientBoostingClassifier(
            learning_rate=self.config["learning_rate"], max_iter=self.config["iterations"],
            max_leaf_nodes=self.config["leaves"], min_samples_leaf=self.config["leaf_rows_min"],
            l2_regularization=self.config["l2"], max_features=self.config["features_a_split"],
            early_stopping=False, random_state=seed,
        )


class Sequence:
    """A GRU over the last clicks, oldest first, with the row's other features beside its last state."""

    PARTS = 6
    ACTIONS = 7

    def __init__(self, config):
        self.config, self.seed = config["sequence"], config["seed"]

    def fit(self, features, follows, weights):
        torch.manual_seed(self.seed)
        logs = logarithms(features)
        steps = self.config["steps"] * self.PARTS
        self.mean, self.scale = logs[:, :-steps].mean(0), np.maximum(logs[:, :-steps].std(0), 1e-6)
        self.network = Gru(self.config, logs.shape[1] - steps, self.PARTS - 1 + self.ACTIONS)
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=self.config["learning_rate"],
                                      weight_decay=self.config["weight_decay"])
        inputs, wanted = self._inputs(features), torch.tensor(follows, dtype=torch.float32)
        weights = torch.tensor(weights, dtype=torch.float32)
        self.network.train()
        for _ in range(self.config["epochs"]):
            for batch in torch.randperm(len(wanted)).split(self.config["batch"]):
                logits = self.network(*(part[batch] for part in inputs))
                loss = functional.binary_cross_entropy_with_logits(logits, wanted[batch], weights[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return self

    @torch.no_grad()
    def logits(self, features):
        self.network.eval()
        parts = zip(*(part.split(4096) for part in self._inputs(features)))
        return torch.cat([self.network(*part) for part in parts]).numpy()

    def _inputs(self, features):
        """The row's features, standardised, and its steps: what was done one-hot, the rest as logarithms."""
        count = self.config["steps"]
        steps = features[:, -count * self.PARTS:].reshape(-1, count, self.PARTS)[:, ::-1]
        action = np.maximum(steps[:, :, 0], 0).astype(np.int64)
        one_hot = np.eye(self.ACTIONS, dtype=np.float32)[action]
        rest = logarithms(steps[:, :, 1:])
        whole = (logarithms(features[:, :-count * self.PARTS]) - self.mean) / self.scale
        return torch.tensor(whole), torch.tensor(np.concatenate([one_hot, rest], axis=2))


class Gru(nn.Module):
    def __init__(self, config, features, step):
        super().__init__()
        width = config["width"]
        self.gru = nn.GRU(step, width, batch_first=True)
        self.whole = nn.Linear(features, width)
        self.drop = nn.Dropout(config["dropout"])
        self.out = nn.Linear(2 * width, 1)

    def forward(self, whole, steps):
        last = self.gru(steps)[1][0]
        both = torch.cat([last, torch.relu(self.whole(self.drop(whole)))], dim=1)
        return self.out(self.drop(both))[:, 0]


def row_weights(sessions, users):
    """A session's rows share one outcome, and the longest have hundreds: each session weighs the same, and a user's
    sessions together as the root of their number. 1 a row on average."""
    _, row, of_session = np.unique(sessions, return_inverse=True, return_counts=True)
    pairs = np.unique(np.stack([users, sessions], axis=1), axis=0)
    names, of_user = np.unique(pairs[:, 0], return_counts=True)
    weights = 1.0 / (of_session[row] * np.sqrt(of_user[np.searchsorted(names, users)]))
    return weights / weights.mean()


LEARNERS = {"logistic": Logistic, "trees": Trees, "sequence": Sequence}


class Calibration:
    """From logits to probabilities: one slope and one shift, fitted where the users were held back (Platt 1999)."""

    def fit(self, logits, follows):
        model = LogisticRegression(C=1e6).fit(logits[:, None], follows)
        self.slope, self.shift = float(model.coef_[0, 0]), float(model.intercept_[0])
        return self

    def probabilities(self, logits):
        return 1 / (1 + np.exp(-(self.slope * logits + self.shift)))
